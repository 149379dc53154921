/* Products of matrices and convolutions: sums of products that stay in registers until they are complete.
 *
 * A tile of ROWS rows and VECTORS vectors of columns is computed at once: each number that is loaded takes part in
 * several products. A table of terms says where the factors are, so that a matrix and the windows of an image are read
 * in the same way, without a copy of the windows.
 *
 * Compiled once for each precision, as a library for each part: RUNS, which PRODUCTS and CONVOLUTIONS call, and
 * GRADIENTS, those of the weights of convolutions. REAL is the element type, BITS an integer of its size, and OF(name)
 * the name of a function for others. Arrays have fewer than 2^31 elements.
 *
 * Convolutions have contiguous arrays with the batch last, and a batch that fills a vector: image (down.size, groups *
 * channels, across.size, batch), weight (groups * filters, channels, down.kernel, across.kernel), result
 * (down.windows, groups * filters, across.windows, batch).
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
#define DEPTH 512    /* terms of a sum at a time: their part of an operand stays in the cache */
#define CACHE 400000 /* bytes that a pass of convolution_weight may read: they stay in the core's own cache */

#define NOINLINE __attribute__((noinline)) /* copies of these would double the time of compilation */
#define INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif
#define EACH_ROW UNROLL for (int i = 0; i < rows; ++i)
#define EACH_VECTOR UNROLL for (int j = 0; j < vectors; ++j)

/* Windows along an axis: element j of window w is at w * stride + j * dilation - before. */
typedef struct { int size, kernel, stride, dilation, before, windows; } sweep;

/* A term of a sum: where it finds its weight and its pixels, counted from those of the first row and column. */
typedef struct { int weight, pixel; } term;

/* The elements [*first, *last) of the kernel that window w has inside the axis. */
static void inside(sweep along, int w, int *first, int *last)
{
    const int start = w * along.stride - along.before, left = along.size - start;
    *first = start < 0 ? (along.dilation - 1 - start) / along.dilation : 0;
    *last = left > 0 ? (left - 1) / along.dilation + 1 : 0;
    if (*last > along.kernel) *last = along.kernel;
    if (*last < *first) *last = *first;
}

/* The end of the run of windows from w on, no longer than `most`, that have the same elements inside as w. */
static int same_inside(sweep along, int w, int most)
{
    int first, last, next_first, next_last, end = w;
    inside(along, w, &first, &last);
    do {
        if (++end == along.windows || end - w >= most) break;
        inside(along, end, &next_first, &next_last);
    } while (next_first == first && next_last == last);
    return end;
}

/* The terms of windows with the elements [top, bottom) and [left, right) of the kernel inside; returns their number. */
static int terms_of_windows(term *at, int channels, int all_channels, sweep down, sweep across, int batch, int top,
                            int bottom, int left, int right)
{
    const int line = across.size * batch;
    int terms = 0;
    for (int c = 0; c < channels; ++c)
        for (int i = top; i < bottom; ++i)
            for (int j = left; j < right; ++j, ++terms) {
                at[terms].weight = (c * down.kernel + i) * across.kernel + j;
                at[terms].pixel = (i * down.dilation * all_channels + c) * line + j * across.dilation * batch;
            }
    return terms;
}

/* The columns of the image from x on that are read by windows with the same elements of the kernel, up to *end. */
static int readers(term *at, int filters, int inner, sweep down, sweep across, int groups, int batch, int y, int x,
                   int *end)
{
    const int line = across.windows * batch, span = (across.kernel - 1) * across.dilation;
    *end = x + 1;
    if (across.stride == 1 && x + across.before >= span && x + across.before < across.windows)
        *end = across.windows - across.before < across.size ? across.windows - across.before : across.size;
    int taps = 0;
    for (int i = 0; i < down.kernel; ++i) {
        const int r = y + down.before - i * down.dilation;
        if (r < 0 || r % down.stride || r / down.stride >= down.windows) continue;
        for (int j = 0; j < across.kernel; ++j) {
            const int q = x + across.before - j * across.dilation;
            if (q < 0 || q % across.stride || q / across.stride >= across.windows) continue;
            at[taps].weight = i * across.kernel + j;
            at[taps++].pixel = r / down.stride * groups * filters * line + q / across.stride * batch;
        }
    }
    for (int f = 1; f < filters; ++f)
        for (int k = 0; k < taps; ++k) {
            at[f * taps + k].weight = at[k].weight + f * inner;
            at[f * taps + k].pixel = at[k].pixel + f * line;
        }
    return filters * taps;
}
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
    EACH_ROW EACH_VECTOR sum[i][j] = add ? (vector)LOAD(out + i * out_row + j * WIDTH) : (vector){0};
    for (int k = 0; k < terms; ++k) {
        EACH_VECTOR x[j] = LOAD(pixels + at[k].pixel + j * WIDTH);
        EACH_ROW {
            const REAL factor = weight[at[k].weight + i * weight_row];
            EACH_VECTOR sum[i][j] += factor * x[j];
        }
    }
    EACH_ROW EACH_VECTOR *(unaligned *)(out + i * out_row + j * WIDTH) = sum[i][j];
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

#ifdef PRODUCTS
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
        for (int m = columns; m < WIDTH; ++m) to[k * PANEL + m] = 0;
    }
}

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

#ifdef CONVOLUTIONS
/* Rows [first, last) of the result; columns if there is one row. */
void OF(convolution)(int first, int last, int batch, int groups, int channels, int filters, sweep down, sweep across,
                     const REAL *image, const REAL *weight, REAL *out)
{
    const int inner = channels * down.kernel * across.kernel;
    const long line = (long)across.size * batch, out_line = (long)across.windows * batch;
    term at[inner];
    const int by_columns = down.windows == 1, start = by_columns ? first : 0, stop = by_columns ? last : across.windows;
    for (int r = by_columns ? 0 : first; r < (by_columns ? 1 : last); ++r)
        for (int q = start, end; q < stop; q = end) {
            int top, bottom, left, right;
            inside(down, r, &top, &bottom);
            inside(across, q, &left, &right);
            end = same_inside(across, q, across.stride == 1 ? stop - q : 1);
            const int terms = terms_of_windows(at, channels, groups * channels, down, across, batch, top, bottom, left,
                                               right);
            const long y = (long)r * down.stride - down.before, x = (long)q * across.stride - across.before;
            for (int g = 0; g < groups; ++g)
                OF(run)((end - q) * batch, filters, terms, at, weight + (long)g * filters * inner, inner,
                        image + (y * groups + g) * channels * line + x * batch,
                        out + ((long)r * groups + g) * filters * out_line + (long)q * batch, out_line, 0);
        }
}

/* Rows [first, last) of the image; columns if there is one row. */
void OF(convolution_transpose)(int first, int last, int batch, int groups, int channels, int filters, sweep down,
                               sweep across, const REAL *result, const REAL *weight, REAL *out)
{
    const int area = down.kernel * across.kernel, inner = channels * area;
    const long line = (long)across.size * batch, result_line = (long)across.windows * batch;
    term at[filters * area];
    const int by_columns = down.size == 1, start = by_columns ? first : 0, stop = by_columns ? last : across.size;
    for (int y = by_columns ? 0 : first; y < (by_columns ? 1 : last); ++y)
        for (int x = start, end; x < stop; x = end) {
            const int terms = readers(at, filters, inner, down, across, groups, batch, y, x, &end);
            if (end > stop) end = stop;
            for (int g = 0; g < groups; ++g)
                OF(run)((end - x) * batch, channels, terms, at, weight + (long)g * filters * inner, area,
                        result + (long)g * filters * result_line,
                        out + ((long)y * groups + g) * channels * line + (long)x * batch, line, 0);
        }
}

#endif

#ifdef GRADIENTS
INLINE REAL total(vector x)
{
    half halves[2];
    REAL all[WIDTH / 2], sum = 0;
    memcpy(halves, &x, sizeof x);
    halves[0] += halves[1];
    memcpy(all, halves, sizeof all);
    for (int n = WIDTH / 4; n < WIDTH / 2; ++n) all[n - WIDTH / 4] += all[n];
    for (int n = 0; n < WIDTH / 4; ++n) sum += all[n];
    return sum;
}

/* out[i, at[j].weight] += sum over lines and columns of a[i, .] * b[at[j].pixel, .], for a tile of dot products. */
INLINE void dots(const int rows, const int vectors, const term *at, int lines, long a_line, long b_line, int columns,
                 bits last, const REAL *a, long a_row, const REAL *b, REAL *out, long out_row)
{
    vector sum[4][6], x[4], sums[4 * 6];
    EACH_ROW EACH_VECTOR sum[i][j] = (vector){0};
    for (int line = 0; line < lines; ++line, a += a_line, b += b_line) {
        for (int n = 0; n + WIDTH <= columns; n += WIDTH) {
            EACH_ROW x[i] = LOAD(a + i * a_row + n);
            EACH_VECTOR {
                const vector y = LOAD(b + at[j].pixel + n);
                EACH_ROW sum[i][j] += x[i] * y;
            }
        }
        if (columns % WIDTH) { /* the last vector, without the columns that were added before */
            const int n = columns - WIDTH;
            EACH_ROW x[i] = (vector)((bits)LOAD(a + i * a_row + n) & last);
            EACH_VECTOR {
                const vector y = LOAD(b + at[j].pixel + n);
                EACH_ROW sum[i][j] += x[i] * y;
            }
        }
    }
    EACH_ROW EACH_VECTOR sums[i * vectors + j] = sum[i][j]; /* from registers, for a loop that is not unrolled */
    for (int i = 0; i < rows; ++i)
        for (int j = 0; j < vectors; ++j) out[i * out_row + at[j].weight] += total(sums[i * vectors + j]);
}

INLINE void dots_strip(const int rows, int terms, const term *at, int lines, long a_line, long b_line, int columns,
                       bits last, const REAL *a, long a_row, const REAL *b, REAL *out, long out_row)
{
#define TILES(n)                                                                                                       \
    for (; terms >= n; terms -= n, at += n)                                                                            \
        dots(rows, n, at, lines, a_line, b_line, columns, last, a, a_row, b, out, out_row);
    TILES(6) TILES(3) TILES(1)
#undef TILES
}

NOINLINE static void all_dots(int rows, int terms, const term *at, int lines, long a_line, long b_line, int columns,
                              const REAL *a, long a_row, const REAL *b, REAL *out, long out_row)
{
    bits last;
    for (int n = 0; n < WIDTH; ++n) last[n] = n < WIDTH - columns % WIDTH ? 0 : -1;
#define STRIPS(n)                                                                                                      \
    for (; rows >= n; rows -= n, a += n * a_row, out += n * out_row)                                                   \
        dots_strip(n, terms, at, lines, a_line, b_line, columns, last, a, a_row, b, out, out_row);
    STRIPS(4) STRIPS(2) STRIPS(1)
#undef STRIPS
}

/* The filters [first, last) of each group. */
void OF(convolution_weight)(int first, int last, int batch, int groups, int channels, int filters, sweep down,
                            sweep across, const REAL *image, const REAL *result, REAL *out)
{
    const int inner = channels * down.kernel * across.kernel;
    const long line = (long)across.size * batch, result_line = (long)across.windows * batch;
    const long image_row = (long)groups * channels * line, result_row = (long)groups * filters * result_line;
    term at[inner];
    for (int g = 0; g < groups; ++g)
        memset(out + ((long)g * filters + first) * inner, 0, sizeof(REAL) * (last - first) * inner);
    for (int q = 0, end; q < across.windows; q = end) {
        int top, bottom, left, right;
        inside(across, q, &left, &right);
        end = same_inside(across, q, across.stride == 1 ? across.windows : 1);
        const int columns = (end - q) * batch;
        const long row = sizeof(REAL) * groups * ((long)down.stride * channels + filters) * columns;
        for (int r = 0, below; r < down.windows; r = below) {
            inside(down, r, &top, &bottom);
            below = same_inside(down, r, row < CACHE ? (int)(CACHE / row) : 1);
            const int terms = terms_of_windows(at, channels, groups * channels, down, across, batch, top, bottom, left,
                                               right);
            const long y = (long)r * down.stride - down.before, x = (long)q * across.stride - across.before;
            for (int g = 0; g < groups; ++g)
                all_dots(last - first, terms, at, below - r, result_row, down.stride * image_row, columns,
                             result + (((long)r * groups + g) * filters + first) * result_line + (long)q * batch,
                             result_line, image + (y * groups + g) * channels * line + x * batch,
                             out + ((long)g * filters + first) * inner, inner);
        }
    }
}
#endif
