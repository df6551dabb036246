/*
 * User-mode Linux of 6.1 has room for 2696 bytes of a process's vector
 * registers, and sets them with ptrace(2). On processors with more of them (AMX)
 * the kernel refuses a part. This library, preloaded, hands it all of them; those
 * that there was no room for are as in a new process, where nothing uses them.
 */
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef NT_X86_XSTATE
#define NT_X86_XSTATE 0x202
#endif

long ptrace(enum __ptrace_request request, ...)
{
	static char all[1 << 16];
	static size_t size; /* of all of them, 0 while not known */

	va_list args;
	va_start(args, request);
	pid_t pid = va_arg(args, pid_t);
	void *addr = va_arg(args, void *);
	void *data = va_arg(args, void *);
	va_end(args);

	if (request == PTRACE_SETREGSET && (unsigned long)addr == NT_X86_XSTATE) {
		struct iovec *some = data, iov = {all, sizeof all};
		if (size == 0 && syscall(SYS_ptrace, PTRACE_GETREGSET, pid, addr, &iov) == 0)
			size = iov.iov_len;
		if (size > some->iov_len) {
			memcpy(all, some->iov_base, some->iov_len);
			memset(all + some->iov_len, 0, size - some->iov_len);
			iov.iov_len = size;
			return syscall(SYS_ptrace, request, pid, addr, &iov);
		}
	}
	if (request == PTRACE_PEEKTEXT || request == PTRACE_PEEKDATA || request == PTRACE_PEEKUSER) {
		/* The kernel stores what the C library returns. */
		long word;
		if (syscall(SYS_ptrace, request, pid, addr, &word) != 0)
			return -1;
		errno = 0;
		return word;
	}
	return syscall(SYS_ptrace, request, pid, addr, data);
}
