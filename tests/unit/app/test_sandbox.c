/* What the filter refuses is refused, in a thread that was there before, too; and the rest goes on. Without seccomp_load
 * every call here succeeds, or fails with another reason. */
#include <errno.h>
#include <pthread.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/sandbox.h"
#include "unit/check.h"

static int guard[2];

static void try_all(void)
{
	char *const none[] = {NULL};
	CHECK(execve("/bin/true", none, none) == -1 && errno == EPERM);
	CHECK(fork() == -1 && errno == EPERM);
	CHECK(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == -1 && errno == EPERM);
	CHECK(socket(AF_NETLINK, SOCK_RAW, 0) == -1 && errno == EPERM);
	CHECK(socket(AF_PACKET, SOCK_RAW, 0) == -1 && errno == EPERM);
	CHECK(setuid(0) == -1 && errno == EPERM);
	CHECK(chroot("/") == -1 && errno == EPERM);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(fd >= 0);
	close(fd);
}

static void *work(void *arg)
{
	char byte;
	CHECK(read(guard[0], &byte, 1) == 1);
	try_all();
	return arg;
}

static void *idle(void *arg)
{
	return arg;
}

static void it_holds_for_all_threads(void)
{
	int status;
	pid_t child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		pthread_t before;
		pthread_t after;
		struct fault fault = {0};
		CHECK(pipe(guard) == 0 && pthread_create(&before, NULL, work, NULL) == 0);
		enum err err = sandbox_enter(&fault);
		if (err)
			fprintf(stderr, "%s\n", fault.text);
		CHECK(err == ERR_NONE);
		CHECK(write(guard[1], "x", 1) == 1 && pthread_join(before, NULL) == 0);
		try_all();
		CHECK(pthread_create(&after, NULL, idle, NULL) == 0 && pthread_join(after, NULL) == 0);
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
	RUN(it_holds_for_all_threads);
	return check_end();
}
