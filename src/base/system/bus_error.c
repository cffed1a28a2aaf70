#include "base/system/bus_error.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/system/path.h"

enum { HEX = 16, LINE_MAX_LEN = PATH_MAX + 128 };

/* Only system calls and what works on memory alone: this runs in a signal handler. */

static const char *read_hex(const char *p, uint64_t *value)
{
	*value = 0;
	for (;; p++) {
		int digit = *p >= '0' && *p <= '9' ? *p - '0' : *p >= 'a' && *p <= 'f' ? *p - 'a' + 10 : -1;
		if (digit < 0)
			return p;
		*value = *value * HEX + (uint64_t)digit;
	}
}

/* A line of /proc/self/maps, "BEGIN-END MODE OFFSET DEVICE INODE   PATH", into the path and where in the file `address` is;
 * false where it is of another mapping. */
static bool maps(char *line, uint64_t address, const char **path, uint64_t *at)
{
	uint64_t begin;
	uint64_t end;
	uint64_t offset;
	const char *p = read_hex(line, &begin);
	p = read_hex(p + (*p == '-'), &end);
	const char *mode = strchr(p + (*p == ' '), ' ');
	*path = strchr(line, '/');
	if (mode == NULL || *path == NULL || address < begin || address >= end)
		return false;
	read_hex(mode + 1, &offset);
	*at = offset + (address - begin);
	return true;
}

/* The mapped file that `address` is in, in `line`. */
static const char *find_file(uint64_t address, char line[LINE_MAX_LEN], uint64_t *at)
{
	char piece[1024];
	const char *path = NULL;
	size_t len = 0;
	ssize_t n;
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	while (path == NULL && (n = read(fd, piece, sizeof piece)) > 0)
		for (ssize_t i = 0; path == NULL && i < n; i++) {
			if (piece[i] != '\n') {
				line[len] = piece[i];
				len += len + 1 < LINE_MAX_LEN;
				continue;
			}
			line[len] = '\0';
			len = 0;
			if (!maps(line, address, &path, at))
				path = NULL;
		}
	close(fd);
	return path;
}

static const char *reason(const char *path, uint64_t at)
{
	struct stat file;
	struct statvfs disk;
	if (stat(path, &file) != 0)
		return "it is not there any more";
	if (at >= (uint64_t)file.st_size)
		return "it was cut short while it was in use";
	if (access(path, W_OK) != 0)
		return errno == EROFS ? "its disk is read-only" : "it may not be written";
	if (statvfs(path, &disk) == 0 && disk.f_bavail == 0)
		return "its disk is full";
	return "its disk fails";
}

static void say(const char *text)
{
	(void)!write(STDERR_FILENO, text, strlen(text));
}

static void on_bus_error(int number, siginfo_t *info, void *context)
{
	(void)context;
	char line[LINE_MAX_LEN];
	uint64_t at = 0;
	const char *path = find_file((uint64_t)(uintptr_t)info->si_addr, line, &at);
	if (path == NULL) {
		signal(number, SIG_DFL); /* and again, when this returns */
		return;
	}
	say("tidemark: ");
	say(path);
	say(" cannot be used: ");
	say(reason(path, at));
	say("\n");
	_exit(1);
}

void bus_error_explain(void)
{
	struct sigaction act = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};
	sigemptyset(&act.sa_mask);
	sigaction(SIGBUS, &act, NULL);
}
