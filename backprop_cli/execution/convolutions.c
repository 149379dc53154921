/* Convolutions: sums of products in tiles. This text follows that of tiles.c.
 *
 * Arrays are contiguous with the batch last, and the batch fills a vector: image (down.size, groups * channels,
 * across.size, batch), weight (groups * filters, channels, down.kernel, across.kernel), result (down.windows, groups *
 * filters, across.windows, batch).
 */

#define CACHE 400000   /* bytes that a pass of convolution_weight may read: they stay in the core's own cache */
#define MOST_SUMS 1e6  /* bytes of the sums of a panel of filters, on the stack */

/* Windows along an axis: element j of window w is at w * stride + j * dilation - before. */
typedef struct { int size, kernel, stride, dilation, before, windows; } sweep;

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

/* The weights of at most PANEL filters, a product for each element of the kernel: the channels of the image
 * times the result, whose windows are packed beside each other. Fast if the filters fill vectors, the channels tiles. */
static void weight_panel(int count, int batch, int groups, int channels, int filters, sweep down, sweep across,
                         const REAL *image, const REAL *result, REAL *out)
{
    const int area = down.kernel * across.kernel, whole = (count + WIDTH - 1) / WIDTH * WIDTH;
    const long line = (long)across.size * batch, result_line = (long)across.windows * batch;
    REAL packed[DEPTH * PANEL] __attribute__((aligned(64))), sums[area * channels * PANEL] __attribute__((aligned(64)));
    term at[DEPTH];
    for (int k = 0; k < DEPTH; ++k) at[k] = (term){k, k * PANEL};
    memset(sums, 0, sizeof sums);
    for (int q = 0, end; q < across.windows; q = end) {
        int top, bottom, left, right;
        inside(across, q, &left, &right);
        end = same_inside(across, q, across.stride == 1 ? across.windows : 1);
        for (int r = 0; r < down.windows; ++r) {
            inside(down, r, &top, &bottom);
            for (int n = q * batch, depth; n < end * batch; n += depth) {
                depth = end * batch - n < DEPTH ? end * batch - n : DEPTH;
                pack(count, depth, result + (long)r * groups * filters * result_line + n, 1, result_line, packed);
                for (int i = top; i < bottom; ++i)
                    for (int j = left; j < right; ++j) {
                        const long y = (long)r * down.stride + i * down.dilation - down.before;
                        const long x = (long)q * (across.stride - 1) + j * across.dilation - across.before;
                        OF(run)(whole, channels, depth, at, image + y * groups * channels * line + x * batch + n, line,
                                packed, sums + (i * across.kernel + j) * channels * PANEL, PANEL, 1);
                    }
            }
        }
    }
    for (int f = 0; f < count; ++f)
        for (int c = 0; c < channels; ++c)
            for (int k = 0; k < area; ++k) *out++ = sums[(k * channels + c) * PANEL + f];
}

/* The filters [first, last) of each group. */
void OF(convolution_weight)(int first, int last, int batch, int groups, int channels, int filters, sweep down,
                            sweep across, const REAL *image, const REAL *result, REAL *out)
{
    const int inner = channels * down.kernel * across.kernel;
    const long line = (long)across.size * batch, result_line = (long)across.windows * batch;
    const long image_row = (long)groups * channels * line, result_row = (long)groups * filters * result_line;
    const int unused = (last - first + WIDTH - 1) / WIDTH * WIDTH - (last - first);
    if (channels >= 2 * ROWS && 4 * unused <= last - first && inner * PANEL * sizeof(REAL) <= MOST_SUMS) {
        for (int g = 0; g < groups; ++g)
            for (int f = first; f < last; f += PANEL)
                weight_panel(last - f < PANEL ? last - f : PANEL, batch, groups, channels, filters, down, across,
                             image + g * channels * line, result + ((long)g * filters + f) * result_line,
                             out + ((long)g * filters + f) * inner);
        return;
    }
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
