/* Runs of a compiled step, one after the other in one call: see repetition.py. */
#include <stdint.h>
#include <string.h>
#include <time.h>

typedef struct { const char *source; char *into; int64_t bytes; } gather;
typedef struct { const void *at; int64_t bytes; double weight; } number;
typedef void step(const void *pieces, int64_t count, void *share);

typedef struct {
    step *run;
    const void *pieces;
    int64_t count;
    void *share;
    int64_t batch;          /* rows of a run */
    gather gathers[3];      /* source[index[row]] -> into[row], rows of so many bytes; 0: there are no more */
    void *constants;        /* the place of a run's constants: bytes of each, and how many */
    int64_t constant_bytes, constant_count;
    const char *kept;       /* what is kept of each run: so many bytes */
    int64_t kept_bytes;
    number numbers[3];      /* float32 or float64, and their weights; of 0 bytes: there are no more */
} repetition;

typedef struct {
    const int64_t *index;   /* the rows of one run after the other */
    const double *table;    /* the constants of one run after the other */
    char *room;             /* for what is kept of one run after the other */
    int64_t runs;           /* at most */
    double seconds;         /* runs end with the one in which they are over */
    int64_t done;           /* runs so far */
    double last[3], sums[3];/* weighted numbers: of the last run, and of all */
} block;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + 1e-9 * time.tv_nsec;
}

/* `bytes` is a constant where it can be: then a copy is an instruction or two. */
static inline void copy_rows(const gather of, const int64_t *index, int64_t rows, int64_t bytes)
{
    for (int64_t row = 0; row < rows; ++row) memcpy(of.into + row * bytes, of.source + index[row] * bytes, bytes);
}

static void gather_rows(const gather of, const int64_t *index, int64_t rows)
{
    switch (of.bytes) {
    case 4: copy_rows(of, index, rows, 4); break;
    case 8: copy_rows(of, index, rows, 8); break;
    case 16: copy_rows(of, index, rows, 16); break;
    default: copy_rows(of, index, rows, of.bytes);
    }
}

/* Run until the weighted numbers are not finite, the runs are done or their time is over; at least once. */
void repeat(const repetition *r, block *b)
{
    const double end = now() + b->seconds;
    for (;;) {
        const int64_t run = b->done;
        for (int k = 0; k < 3 && r->gathers[k].bytes; ++k)
            gather_rows(r->gathers[k], b->index + run * r->batch, r->batch);
        for (int64_t k = 0; k < r->constant_count; ++k) {
            const double constant = b->table[run * r->constant_count + k];
            if (r->constant_bytes == 4) ((float *)r->constants)[k] = (float)constant;
            else ((double *)r->constants)[k] = constant;
        }
        r->run(r->pieces, r->count, r->share);
        if (b->room) memcpy(b->room + run * r->kept_bytes, r->kept, r->kept_bytes);
        double total = 0;
        for (int k = 0; k < 3 && r->numbers[k].bytes; ++k) {
            const number of = r->numbers[k];
            /* Rounded before it is added: fused with a sum, the product would be exact. */
            volatile double weighted = of.weight * (of.bytes == 4 ? *(const float *)of.at : *(const double *)of.at);
            b->last[k] = weighted;
            b->sums[k] += b->last[k];
            total += b->last[k];
        }
        b->done = run + 1;
        if (!__builtin_isfinite(total) || b->done >= b->runs || now() >= end) return;
    }
}
