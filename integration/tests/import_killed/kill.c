/* Kills a program before one of the calls by which it changes files or starts commands, and counts
 * these calls (LD_PRELOAD).
 *
 * The file that PRELOAD_PLAN names has two 64-bit words: the number of calls to let pass before the
 * end, or -1; and the number of calls. Commands that the program starts have no such library.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct plan {
    long passing, calls;
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
    unsetenv("LD_PRELOAD");
    plan = memory;
}

static void step(void)
{
    plan->calls++;
    if (plan->passing-- == 0)
        kill(getpid(), SIGKILL);
}

#define WRAP(name, parameters, arguments)                          \
    int name parameters                                            \
    {                                                              \
        static int(*next) parameters;                              \
        if (!next)                                                 \
            next = (int(*) parameters)dlsym(RTLD_NEXT, #name);     \
        step();                                                    \
        return next arguments;                                     \
    }

WRAP(rename, (const char *from, const char *to), (from, to))
WRAP(unlink, (const char *path), (path))
WRAP(mkdir, (const char *path, mode_t mode), (path, mode))
WRAP(chmod, (const char *path, mode_t mode), (path, mode))
WRAP(chown, (const char *path, uid_t user, gid_t group), (path, user, group))
WRAP(fsync, (int fd), (fd))
WRAP(posix_spawnp,
     (pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
      const posix_spawnattr_t *attributes, char *const arguments[], char *const environment[]),
     (pid, file, actions, attributes, arguments, environment))
