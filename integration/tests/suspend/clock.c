/* Plays a suspend to a program (LD_PRELOAD): CLOCK_BOOTTIME and its timers jump.
 *
 * The file that PRELOAD_PLAN names has one 64-bit word: the nanoseconds of all suspends so far. As the
 * kernel does at the end of a suspend, a thread lets a timer expire whose time has come.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL

static atomic_llong *suspended;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* The timer that was set last, in the program's time. */
static int timer = -1;
static struct itimerspec set_to;

static int set_in_real_time(void)
{
    static int (*next)(int, int, const struct itimerspec *, struct itimerspec *);
    if (!next)
        next = (int (*)(int, int, const struct itimerspec *, struct itimerspec *))dlsym(
            RTLD_NEXT, "timerfd_settime");
    long long time = set_to.it_value.tv_sec * SECOND + set_to.it_value.tv_nsec - *suspended;
    /* Zero would stop the timer. */
    if (time < 1)
        time = 1;
    struct itimerspec real = {.it_value = {time / SECOND, time % SECOND}};
    return next(timer, TFD_TIMER_ABSTIME, &real, NULL);
}

static void *watch(void *unused)
{
    (void)unused;
    for (long long known = *suspended;; poll(NULL, 0, 5)) {
        pthread_mutex_lock(&lock);
        if (*suspended != known && timer >= 0) {
            known = *suspended;
            set_in_real_time();
        }
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

__attribute__((constructor)) static void start(void)
{
    const char *path = getenv("PRELOAD_PLAN");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *memory = mmap(NULL, sizeof *suspended, PROT_READ, MAP_SHARED, fd, 0);
    if (fd < 0 || memory == MAP_FAILED)
        abort();
    close(fd);
    suspended = memory;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread;
    if (pthread_create(&thread, NULL, watch, NULL))
        abort();
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
    static int (*next)(clockid_t, struct timespec *);
    if (!next)
        next = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int outcome = next(clock, time);
    if (!outcome && clock == CLOCK_BOOTTIME && suspended) {
        long long now = time->tv_sec * SECOND + time->tv_nsec + *suspended;
        time->tv_sec = now / SECOND;
        time->tv_nsec = now % SECOND;
    }
    return outcome;
}

int timerfd_settime(int fd, int flags, const struct itimerspec *time, struct itimerspec *before)
{
    (void)before;
    if (flags != TFD_TIMER_ABSTIME)
        abort();
    pthread_mutex_lock(&lock);
    timer = fd;
    set_to = *time;
    int outcome = set_in_real_time();
    pthread_mutex_unlock(&lock);
    return outcome;
}
