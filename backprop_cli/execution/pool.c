/* Threads that share the pieces of a compiled step.
 *
 * A piece is a loop of `units` that are independent of each other. It is divided into chunks, and each thread has some
 * of its own: the same part of every piece, whose data are in its core's cache. A thread that has run its own chunks
 * takes those of others, and the caller, thread 0, waits only for chunks that another thread has begun. So a thread
 * that the system does not run, or that died in a fork, holds nobody up.
 */
#include <pthread.h>
#include <sched.h>
#include <stdint.h>

#define CHUNKS 4    /* of a piece, for each thread */
#define MOST 64     /* threads */
#define SPINS 10000 /* looks for work, some 0.2 ms, before a thread sleeps */

#if defined(__x86_64__)
#define PAUSE __builtin_ia32_pause()
#elif defined(__aarch64__)
#define PAUSE __asm__ volatile("yield")
#else
#define PAUSE (void)0
#endif

typedef void piece(void *const *table, int from, int to);

static struct { piece *run; void *const *table; int units, chunks; } job;

/* What each thread has to do: number of the job << 32 | end of its chunks << 16 | next chunk; apart in the cache. */
static struct { uint64_t word; char apart[120]; } claims[MOST];
static int finished, sleepers, threads = 1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t published = PTHREAD_COND_INITIALIZER;

static int next_of(uint64_t word) { return (int)(word & 0xffff); }
static int end_of(uint64_t word) { return (int)(word >> 16 & 0xffff); }

static int has_work(void)
{
    for (int t = 0; t < threads; ++t) {
        const uint64_t word = __atomic_load_n(&claims[t].word, __ATOMIC_SEQ_CST);
        if (next_of(word) < end_of(word)) return 1;
    }
    return 0;
}

/* Run chunks while there are any, the thread's own first. A claim that succeeds means that the job stays what it is
 * until the chunk is finished. */
static void work(int own)
{
    for (int k = 0; k < threads; ++k) {
        uint64_t *const claim = &claims[(own + k) % threads].word;
        uint64_t word = __atomic_load_n(claim, __ATOMIC_ACQUIRE);
        while (next_of(word) < end_of(word)) {
            if (!__atomic_compare_exchange_n(claim, &word, word + 1, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) continue;
            const int64_t chunk = next_of(word), units = job.units, chunks = job.chunks;
            job.run(job.table, (int)(units * chunk / chunks), (int)(units * (chunk + 1) / chunks));
            __atomic_add_fetch(&finished, 1, __ATOMIC_RELEASE);
            word = __atomic_load_n(claim, __ATOMIC_ACQUIRE);
        }
    }
}

static void *serve(void *number)
{
    for (;;) {
        int spins = 0;
        while (!has_work() && spins++ < SPINS) PAUSE;
        if (spins > SPINS) {
            pthread_mutex_lock(&lock);
            __atomic_add_fetch(&sleepers, 1, __ATOMIC_SEQ_CST);
            while (!has_work()) pthread_cond_wait(&published, &lock);
            __atomic_sub_fetch(&sleepers, 1, __ATOMIC_SEQ_CST);
            pthread_mutex_unlock(&lock);
        }
        work((int)(intptr_t)number);
    }
    return 0;
}

/* Run a piece with all threads; alone if they work for another caller. */
void share(piece *run, void *const *table, int units)
{
    static int busy;
    if (__atomic_exchange_n(&busy, 1, __ATOMIC_ACQUIRE)) {
        run(table, 0, units);
        return;
    }
    const int most = CHUNKS * threads, chunks = units < most ? units : most;
    const uint64_t number = (claims[0].word >> 32) + 1;
    job.run = run;
    job.table = table;
    job.units = units;
    job.chunks = chunks;
    __atomic_store_n(&finished, 0, __ATOMIC_RELAXED);
    for (int t = threads - 1; t >= 0; --t) {
        const uint64_t from = chunks * t / threads, to = chunks * (t + 1) / threads;
        __atomic_store_n(&claims[t].word, number << 32 | to << 16 | from, __ATOMIC_SEQ_CST);
    }
    if (__atomic_load_n(&sleepers, __ATOMIC_SEQ_CST)) {
        pthread_mutex_lock(&lock);
        pthread_cond_broadcast(&published);
        pthread_mutex_unlock(&lock);
    }
    work(0);
    for (int spins = 0; __atomic_load_n(&finished, __ATOMIC_ACQUIRE) < chunks; ++spins)
        if (spins < SPINS) PAUSE;
        else sched_yield();
    __atomic_store_n(&busy, 0, __ATOMIC_RELEASE);
}

static void forked(void)
{
    sleepers = 0;
    threads = 1;
    pthread_mutex_init(&lock, 0);
    pthread_cond_init(&published, 0);
}

/* Have so many threads, the caller included; fewer if the system refuses. */
void start(int wanted)
{
    static int is_first = 1;
    if (is_first) pthread_atfork(0, 0, forked);
    is_first = 0;
    pthread_t id;
    for (; threads < wanted && threads < MOST; ++threads) {
        if (pthread_create(&id, 0, serve, (void *)(intptr_t)threads)) break;
        pthread_detach(id);
    }
}
