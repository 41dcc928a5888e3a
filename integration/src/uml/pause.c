/*
 * Lets the clock of a guest in virtual time go on beside a program that never waits.
 *
 * The loadbalance runner of teamd enables a port at each notification of its port options, and this
 * change causes the next notification: its select() always returns at once. This library is
 * preloaded into such a daemon: the daemon sleeps before each select().
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <sys/select.h>
#include <time.h>

int select(int count, fd_set *read, fd_set *write, fd_set *except, struct timeval *limit)
{
	static int (*next)(int, fd_set *, fd_set *, fd_set *, struct timeval *);
	const struct timespec pause = { .tv_nsec = 5000000 };

	if (!next)
		next = (int (*)(int, fd_set *, fd_set *, fd_set *, struct timeval *))dlsym(RTLD_NEXT, "select");
	nanosleep(&pause, NULL);
	return next(count, read, write, except, limit);
}
