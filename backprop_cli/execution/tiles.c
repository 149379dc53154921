/* Products of matrices: sums of products that stay in registers until they are complete.
 *
 * A tile of ROWS rows and VECTORS vectors of columns is computed at once: each number that is loaded takes part in
 * several products. A table of terms says where the factors are, so that a matrix and the windows of an image are read
 * in the same way, without a copy of the windows.
 *
 * Compiled once for each precision, as a library for each part: RUNS, which the others call, PRODUCTS, and those of
 * convolutions.c, CONVOLUTIONS and GRADIENTS. REAL is the element type, BITS an integer of its size, and OF(name) the
 * name of a function for others. Arrays have fewer than 2^31 elements.
 */

#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__) /* the widest vectors, and a tile that fits in the registers */
#define BYTES 64
#define VECTORS 4
#elif defined(__AVX__)
#define BYTES 32
#define VECTORS 2
#elif defined(__aarch64__)
#define BYTES 16
#define VECTORS 4
#else
#define BYTES 16
#define VECTORS 2
#endif
#define ROWS 6
#define DEPTH 512 /* terms of a sum at a time: their part of an operand stays in the cache */

#define NOINLINE __attribute__((noinline)) /* copies of these would double the time of compilation */
#define INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif
#define EACH_ROW UNROLL for (int i = 0; i < rows; ++i)
#define EACH_VECTOR UNROLL for (int j = 0; j < vectors; ++j)

/* A term of a sum: where it finds its weight and its pixels, counted from those of the first row and column. */
typedef struct { int weight, pixel; } term;

#define WIDTH ((int)(BYTES / sizeof(REAL)))
typedef REAL vector __attribute__((vector_size(BYTES)));
typedef REAL half __attribute__((vector_size(BYTES / 2)));
typedef REAL unaligned __attribute__((vector_size(BYTES), aligned(sizeof(REAL)), may_alias));
typedef BITS bits __attribute__((vector_size(BYTES)));
#define LOAD(from) (*(const unaligned *)(from))

/* out[i, n] = sum over terms of weight[i, .] * pixels[., n] for a run of columns, at least a vector of them; whole
 * vectors if `add`: then the sum is added to out. */
void OF(run)(int columns, int rows, int terms, const term *at, const REAL *weight, long weight_row, const REAL *pixels,
             REAL *out, long out_row, int add);

#ifdef RUNS
/* The same for a tile. */
INLINE void tile(const int rows, const int vectors, int terms, const term *at, const REAL *weight, long weight_row,
                 const REAL *pixels, REAL *out, long out_row, int add)
{
    vector sum[ROWS][VECTORS], x[VECTORS];
    EACH_ROW EACH_VECTOR sum[i][j] = (vector){0};
    for (int k = 0; k < terms; ++k) {
        EACH_VECTOR x[j] = LOAD(pixels + at[k].pixel + j * WIDTH);
        EACH_ROW {
            const REAL factor = weight[at[k].weight + i * weight_row];
            EACH_VECTOR sum[i][j] += factor * x[j];
        }
    }
    EACH_ROW EACH_VECTOR {
        unaligned *const to = (unaligned *)(out + i * out_row + j * WIDTH);
        *to = add ? sum[i][j] + *to : sum[i][j]; /* blocks of terms are added up apart: less rounding */
    }
}

INLINE void strip(const int vectors, int rows, int terms, const term *at, const REAL *weight, long weight_row,
                  const REAL *pixels, REAL *out, long out_row, int add)
{
#define TILES(n)                                                                                                       \
    for (; rows >= n; rows -= n, weight += n * weight_row, out += n * out_row)                                         \
        tile(n, vectors, terms, at, weight, weight_row, pixels, out, out_row, add);
    TILES(6) TILES(4) TILES(2) TILES(1)
#undef TILES
}

void OF(run)(int columns, int rows, int terms, const term *at, const REAL *weight, long weight_row, const REAL *pixels,
             REAL *out, long out_row, int add)
{
    int n = 0;
    for (; VECTORS > 2 && columns - n >= VECTORS * WIDTH; n += VECTORS * WIDTH)
        strip(VECTORS, rows, terms, at, weight, weight_row, pixels + n, out + n, out_row, add);
    for (; columns - n >= 2 * WIDTH; n += 2 * WIDTH)
        strip(2, rows, terms, at, weight, weight_row, pixels + n, out + n, out_row, add);
    for (; n < columns; n += WIDTH) {
        if (n > columns - WIDTH) n = columns - WIDTH; /* computes some columns again */
        strip(1, rows, terms, at, weight, weight_row, pixels + n, out + n, out_row, add);
    }
}
#endif

#if defined(PRODUCTS) || defined(GRADIENTS)
#ifdef __clang__
INLINE vector shuffle(vector first, vector second, bits from)
{
    vector out;
    UNROLL for (int n = 0; n < WIDTH; ++n) out[n] = from[n] < WIDTH ? first[from[n]] : second[from[n] - WIDTH];
    return out;
}
#define SHUFFLE shuffle
#else
#define SHUFFLE __builtin_shuffle
#endif

/* Transpose a square of WIDTH rows of b, and write its rows `to_row` apart. */
INLINE void turn(const REAL *b, long b_row, REAL *to, long to_row)
{
    vector x[WIDTH];
    bits lane;
    UNROLL for (int n = 0; n < WIDTH; ++n) lane[n] = n;
    UNROLL for (int i = 0; i < WIDTH; ++i) x[i] = LOAD(b + i * b_row);
    UNROLL for (int half = WIDTH / 2; half; half /= 2) {
        /* Of two rows: the lanes without the bit `half`, and those with it. */
        const bits low = lane + (((lane & half) != 0) & (WIDTH - half)), high = low + half;
        UNROLL for (int i = 0; i < WIDTH; ++i)
            if (!(i & half)) {
                const vector first = x[i], second = x[i + half];
                x[i] = SHUFFLE(first, second, low);
                x[i + half] = SHUFFLE(first, second, high);
            }
    }
    UNROLL for (int i = 0; i < WIDTH; ++i) *(unaligned *)(to + i * to_row) = x[i];
}

#define PANEL (VECTORS * WIDTH)

/* Copy `columns` columns of b to rows of PANEL numbers; zeros fill the last vector. */
NOINLINE static void pack(int columns, int inner, const REAL *b, long b_inner, long b_column, REAL *to)
{
    int n = 0, k;
    for (; b_inner == 1 && n + WIDTH <= columns; n += WIDTH) {
        for (k = 0; k + WIDTH <= inner; k += WIDTH) turn(b + n * b_column + k, b_column, to + k * PANEL + n, PANEL);
        for (; k < inner; ++k)
            for (int m = n; m < n + WIDTH; ++m) to[k * PANEL + m] = b[k + m * b_column];
    }
    for (k = 0; k < inner; ++k) {
        for (int m = n; m < columns; ++m) to[k * PANEL + m] = b[k * b_inner + m * b_column];
        for (int m = columns; m % WIDTH; ++m) to[k * PANEL + m] = 0;
    }
}
#endif

#ifdef PRODUCTS
/* out = a b for matrices with strides of their own; the columns of out are neighbours. */
void OF(product)(int rows, int columns, int inner, const REAL *a, long a_row, long a_inner, const REAL *b,
                 long b_inner, long b_column, REAL *out, long out_row)
{
    const int most = inner < DEPTH ? inner : DEPTH;
    term at[most];
    REAL packed[most * PANEL] __attribute__((aligned(64)));
    for (int k = 0; k < inner; k += most)
        for (int n = 0, left; n < columns; n += left) {
            const int depth = inner - k < most ? inner - k : most;
            left = columns - n < PANEL ? columns - n : PANEL;
            if (inner > most && left > WIDTH) left -= left % WIDTH; /* what is added must not be added twice */
            const int as_it_is = b_column == 1 && left >= WIDTH;
            const REAL *from = b + k * b_inner + n * b_column;
            if (!as_it_is) pack(left, depth, from, b_inner, b_column, packed);
            for (int i = 0; i < depth; ++i)
                at[i] = (term){(int)(i * a_inner), as_it_is ? (int)(i * b_inner) : i * PANEL};
            if (!as_it_is) from = packed;
            if (left >= WIDTH) {
                OF(run)(left, rows, depth, at, a + k * a_inner, a_row, from, out + n, out_row, k > 0);
                continue;
            }
            for (int i = 0; i < rows; i += ROWS) {
                REAL some[ROWS * WIDTH];
                const int few = rows - i < ROWS ? rows - i : ROWS;
                OF(run)(WIDTH, few, depth, at, a + k * a_inner + i * a_row, a_row, from, some, WIDTH, 0);
                for (int m = 0; m < few * left; ++m) {
                    REAL *to = out + (i + m / left) * out_row + n + m % left;
                    *to = some[m / left * WIDTH + m % left] + (k > 0 ? *to : 0);
                }
            }
        }
}
#endif
