/*
 * Lets User-Mode Linux before 6.13 run on processors whose register state is larger than its buffer.
 *
 * Its buffer for floating-point registers ends before AMX. The host's kernel accepts
 * PTRACE_SETREGSET for NT_X86_XSTATE only with the full size, so the first process of a guest would
 * die. This library is preloaded into User-Mode Linux: a set request that is too short is completed
 * with the registers as they are.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>

enum { SET_REGSET = 0x4205, GET_REGSET = 0x4204, XSTATE = 0x202 };

/* The largest state that is known has 11008 bytes. */
static char whole[65536];

long ptrace(int request, ...)
{
	static long (*next)(int, pid_t, void *, void *);
	va_list args;
	va_start(args, request);
	pid_t pid = va_arg(args, pid_t);
	void *addr = va_arg(args, void *);
	void *data = va_arg(args, void *);
	va_end(args);

	if (!next)
		next = (long (*)(int, pid_t, void *, void *))dlsym(RTLD_NEXT, "ptrace");
	if (request == SET_REGSET && addr == (void *)XSTATE) {
		static size_t size;
		struct iovec *given = data;
		struct iovec full = { whole, sizeof(whole) };
		if (size == 0 && next(GET_REGSET, pid, addr, &full) == 0)
			size = full.iov_len;
		if (given->iov_len < size && next(GET_REGSET, pid, addr, &full) == 0) {
			memcpy(whole, given->iov_base, given->iov_len);
			return next(request, pid, addr, &full);
		}
	}
	return next(request, pid, addr, data);
}
