/* Lets one system call of a program fail, and counts the calls (LD_PRELOAD).
 *
 * The file that PRELOAD_PLAN names has 64-bit words: the kind of the call that fails, or -1; the
 * number of calls of the kind to let pass before; the error number; the number of calls that have
 * failed; and for each kind the number of calls. The test writes the file while the program runs.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <unistd.h>

/* In the order of the names in `main.rs`. */
enum kind {
    ACCEPT, ACCEPT4, BIND, BPF, CLOSE, CONNECT, EPOLL_CTL, EPOLL_WAIT, FCNTL, GETSOCKOPT, IOCTL, OPEN,
    READ, READV, RECV, RECVMMSG, RECVMSG, RENAME, SEND, SENDMMSG, SENDMSG, SETSOCKOPT, SOCKET, STAT,
    STATX, TIMERFD_SETTIME, UNLINK, WRITE, WRITEV, KINDS
};

struct plan {
    atomic_long kind, passing, error, failed;
    atomic_long calls[KINDS];
};

static struct plan *plan;

__attribute__((constructor)) static void map_plan(void)
{
    const char *path = getenv("PRELOAD_PLAN");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        abort();
    void *memory = mmap(NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED)
        abort();
    close(fd);
    plan = memory;
}

static int fails(enum kind kind)
{
    if (!plan)
        return 0;
    plan->calls[kind]++;
    if (plan->kind != kind || plan->passing-- != 0)
        return 0;
    plan->kind = -1;
    plan->failed++;
    errno = (int)plan->error;
    return 1;
}

#define WRAP(kind, type, name, parameters, arguments)              \
    type name parameters                                           \
    {                                                              \
        static type(*next) parameters;                             \
        if (!next)                                                 \
            next = (type(*) parameters)dlsym(RTLD_NEXT, #name);    \
        return fails(kind) ? -1 : next arguments;                  \
    }

WRAP(ACCEPT, int, accept, (int fd, struct sockaddr *address, socklen_t *length),
     (fd, address, length))
WRAP(ACCEPT4, int, accept4, (int fd, struct sockaddr *address, socklen_t *length, int flags),
     (fd, address, length, flags))
WRAP(BIND, int, bind, (int fd, const struct sockaddr *address, socklen_t length),
     (fd, address, length))
WRAP(CONNECT, int, connect, (int fd, const struct sockaddr *address, socklen_t length),
     (fd, address, length))
WRAP(EPOLL_CTL, int, epoll_ctl, (int epoll, int operation, int fd, struct epoll_event *event),
     (epoll, operation, fd, event))
WRAP(EPOLL_WAIT, int, epoll_wait, (int fd, struct epoll_event *events, int room, int timeout),
     (fd, events, room, timeout))
WRAP(GETSOCKOPT, int, getsockopt,
     (int fd, int level, int option, void *value, socklen_t *length),
     (fd, level, option, value, length))
WRAP(READ, ssize_t, read, (int fd, void *bytes, size_t count), (fd, bytes, count))
WRAP(READV, ssize_t, readv, (int fd, const struct iovec *parts, int count), (fd, parts, count))
WRAP(RECV, ssize_t, recv, (int fd, void *bytes, size_t count, int flags),
     (fd, bytes, count, flags))
WRAP(RECVMMSG, int, recvmmsg,
     (int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout),
     (fd, messages, count, flags, timeout))
WRAP(RECVMSG, ssize_t, recvmsg, (int fd, struct msghdr *message, int flags), (fd, message, flags))
WRAP(RENAME, int, rename, (const char *from, const char *to), (from, to))
WRAP(SEND, ssize_t, send, (int fd, const void *bytes, size_t count, int flags),
     (fd, bytes, count, flags))
WRAP(SENDMMSG, int, sendmmsg, (int fd, struct mmsghdr *messages, unsigned count, int flags),
     (fd, messages, count, flags))
WRAP(SENDMSG, ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags),
     (fd, message, flags))
WRAP(SETSOCKOPT, int, setsockopt,
     (int fd, int level, int option, const void *value, socklen_t length),
     (fd, level, option, value, length))
WRAP(SOCKET, int, socket, (int family, int type, int protocol), (family, type, protocol))
WRAP(STAT, int, stat64, (const char *path, struct stat64 *status), (path, status))
WRAP(STATX, int, statx,
     (int folder, const char *path, int flags, unsigned mask, struct statx *status),
     (folder, path, flags, mask, status))
WRAP(TIMERFD_SETTIME, int, timerfd_settime,
     (int fd, int flags, const struct itimerspec *time, struct itimerspec *before),
     (fd, flags, time, before))
WRAP(UNLINK, int, unlink, (const char *path), (path))
WRAP(WRITE, ssize_t, write, (int fd, const void *bytes, size_t count), (fd, bytes, count))
WRAP(WRITEV, ssize_t, writev, (int fd, const struct iovec *parts, int count), (fd, parts, count))

/* The kernel closes the descriptor also when it reports an error. */
int close(int fd)
{
    static int (*next)(int);
    if (!next)
        next = (int (*)(int))dlsym(RTLD_NEXT, "close");
    int failed = fails(CLOSE), error = errno;
    int closed = next(fd);
    if (failed)
        errno = error;
    return failed ? -1 : closed;
}

int fcntl(int fd, int command, ...)
{
    static int (*next)(int, int, void *);
    va_list list;
    va_start(list, command);
    void *argument = va_arg(list, void *);
    va_end(list);
    if (!next)
        next = (int (*)(int, int, void *))dlsym(RTLD_NEXT, "fcntl");
    return fails(FCNTL) ? -1 : next(fd, command, argument);
}

int ioctl(int fd, unsigned long request, ...)
{
    static int (*next)(int, unsigned long, void *);
    va_list list;
    va_start(list, request);
    void *argument = va_arg(list, void *);
    va_end(list);
    if (!next)
        next = (int (*)(int, unsigned long, void *))dlsym(RTLD_NEXT, "ioctl");
    return fails(IOCTL) ? -1 : next(fd, request, argument);
}

#define WRAP_OPEN(name)                                                     \
    int name(const char *path, int flags, ...)                              \
    {                                                                       \
        static int (*next)(const char *, int, ...);                         \
        va_list list;                                                       \
        va_start(list, flags);                                              \
        mode_t mode = va_arg(list, mode_t);                                 \
        va_end(list);                                                       \
        if (!next)                                                          \
            next = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, #name); \
        return fails(OPEN) ? -1 : next(path, flags, mode);                  \
    }

WRAP_OPEN(open)
WRAP_OPEN(open64)

/* bpf(2) and others without a function of their own; glibc's takes six arguments, too. */
long syscall(long number, ...)
{
    static long (*next)(long, long, long, long, long, long, long);
    va_list list;
    long argument[6];
    va_start(list, number);
    for (int i = 0; i < 6; i++)
        argument[i] = va_arg(list, long);
    va_end(list);
    if (!next)
        next = (long (*)(long, long, long, long, long, long, long))dlsym(RTLD_NEXT, "syscall");
    if (number == SYS_bpf && fails(BPF))
        return -1;
    return next(number, argument[0], argument[1], argument[2], argument[3], argument[4],
                argument[5]);
}
