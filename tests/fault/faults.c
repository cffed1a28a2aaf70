/* The server under faults: linked with this, calls of the C library and of SQLite's allocator can be told to fail, or to be
 * the last that the process makes. What is told comes from whoever tests, in a file that both have in their memory
 * (faults.py): TIDEMARK_FAULTS names it; without it nothing is different.
 *
 * Files: whoever in the process calls (SQLite, too). Memory, sockets, threads and clocks: Tidemark's own calls alone (the
 * linker's --wrap), for what a library does without memory is its own affair. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Kinds of calls, in the order of faults.py. */
enum call {
	CALL_MALLOC = 1 << 0,
	CALL_SQLITE_MALLOC = 1 << 1,
	CALL_OPEN = 1 << 2,
	CALL_READ = 1 << 3,
	CALL_WRITE = 1 << 4,
	CALL_SYNC = 1 << 5,
	CALL_TRUNCATE = 1 << 6,
	CALL_RENAME = 1 << 7,
	CALL_REMOVE = 1 << 8,
	CALL_MKDIR = 1 << 9,
	CALL_MMAP = 1 << 10,
	CALL_ACCEPT = 1 << 11,
	CALL_EPOLL = 1 << 12,
	CALL_THREAD = 1 << 13,
};

enum action { ACTION_FAIL, ACTION_KILL, ACTION_TEAR /* does half of a write, then kills */ };

/* The same in faults.py. */
struct faults {
	_Atomic uint64_t armed; /* kinds of calls; 0: none */
	_Atomic uint64_t after; /* the first to be hit, from 1 */
	_Atomic uint64_t times; /* how many are; 0: all that follow */
	_Atomic uint64_t action;
	_Atomic uint64_t error; /* errno */
	_Atomic uint64_t seen;  /* calls since it was armed */
	_Atomic uint64_t hits;
	_Atomic int64_t wall_ms;    /* what the wall clock is wrong by */
	_Atomic int64_t processors; /* that the machine pretends to have; 0: those it has */
	char place[192];            /* only of files whose path has this in it, or ends so before a '$'; empty: any */
};

static struct faults *faults;

static bool is_in_place(int fd, const char *path)
{
	char link[40];
	char name[PATH_MAX];
	if (faults->place[0] == '\0' && path != NULL)
		return true;
	if (path == NULL) {
		struct stat st;
		if (fd < 0 || fstat(fd, &st) != 0 || !(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)))
			return false; /* an eventfd, a socket */
		snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
		ssize_t n = readlink(link, name, sizeof name - 1);
		name[n > 0 ? n : 0] = '\0';
		path = name;
	}
	size_t len = strlen(faults->place);
	if (len == 0 || faults->place[len - 1] != '$')
		return strstr(path, faults->place) != NULL;
	size_t whole = strlen(path);
	return whole >= len - 1 && strncmp(path + whole - (len - 1), faults->place, len - 1) == 0;
}

/* Is this call one that is to be hit? Then errno is set, or the process has ended. */
static bool is_hit(enum call call)
{
	uint64_t n = atomic_fetch_add(&faults->seen, 1) + 1;
	uint64_t after = atomic_load(&faults->after);
	uint64_t times = atomic_load(&faults->times);
	if (n < after || (times != 0 && n >= after + times))
		return false;
	atomic_fetch_add(&faults->hits, 1);
	if (atomic_load(&faults->action) == ACTION_KILL ||
	    (atomic_load(&faults->action) == ACTION_TEAR && call != CALL_WRITE))
		kill(getpid(), SIGKILL);
	errno = (int)atomic_load(&faults->error);
	return true;
}

static bool fails(enum call call)
{
	return faults != NULL && (atomic_load(&faults->armed) & call) != 0 && is_hit(call);
}

static bool fails_at(enum call call, int fd, const char *path)
{
	return faults != NULL && (atomic_load(&faults->armed) & call) != 0 && is_in_place(fd, path) && is_hit(call);
}

/* --- files --- */

int open64(const char *path, int flags, ...);
int open64(const char *path, int flags, ...)
{
	unsigned mode = 0;
	if ((flags & O_CREAT) != 0) {
		va_list args;
		va_start(args, flags);
		mode = va_arg(args, unsigned);
		va_end(args);
	}
	return fails_at(CALL_OPEN, -1, path) ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int open(const char *path, int flags, ...) __attribute__((alias("open64")));

ssize_t pread64(int fd, void *bytes, size_t n, off_t at)
{
	return fails_at(CALL_READ, fd, NULL) ? -1 : syscall(SYS_pread64, fd, bytes, n, at);
}

ssize_t pread(int fd, void *bytes, size_t n, off_t at) __attribute__((alias("pread64")));

ssize_t pwrite64(int fd, const void *bytes, size_t n, off_t at)
{
	if (!fails_at(CALL_WRITE, fd, NULL))
		return syscall(SYS_pwrite64, fd, bytes, n, at);
	if (atomic_load(&faults->action) == ACTION_TEAR) {
		syscall(SYS_pwrite64, fd, bytes, n / 2, at);
		kill(getpid(), SIGKILL);
	}
	return -1;
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at) __attribute__((alias("pwrite64")));

ssize_t write(int fd, const void *bytes, size_t n)
{
	if (!fails_at(CALL_WRITE, fd, NULL))
		return syscall(SYS_write, fd, bytes, n);
	if (atomic_load(&faults->action) == ACTION_TEAR) {
		syscall(SYS_write, fd, bytes, n / 2);
		kill(getpid(), SIGKILL);
	}
	return -1;
}

int fsync(int fd)
{
	return fails_at(CALL_SYNC, fd, NULL) ? -1 : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	return fails_at(CALL_SYNC, fd, NULL) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int ftruncate64(int fd, off_t len)
{
	return fails_at(CALL_TRUNCATE, fd, NULL) ? -1 : (int)syscall(SYS_ftruncate, fd, len);
}

int ftruncate(int fd, off_t len) __attribute__((alias("ftruncate64")));

int unlink(const char *path)
{
	return fails_at(CALL_REMOVE, -1, path) ? -1 : (int)syscall(SYS_unlink, path);
}

int rename(const char *from, const char *to)
{
	return fails_at(CALL_RENAME, -1, to) ? -1 : (int)syscall(SYS_rename, from, to);
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
	return fails_at(CALL_RENAME, -1, to) ? -1 : (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
}

int mkdir(const char *path, mode_t mode)
{
	return fails_at(CALL_MKDIR, -1, path) ? -1 : (int)syscall(SYS_mkdir, path, mode);
}

/* Of files: the index of the write-ahead log is shared memory. */
void *mmap64(void *at, size_t len, int protection, int flags, int fd, off_t offset)
{
	if (fd >= 0 && fails_at(CALL_MMAP, fd, NULL))
		return MAP_FAILED;
	long p = syscall(SYS_mmap, at, len, protection, flags, fd, offset);
	return (void *)p; /* NOLINT(performance-no-int-to-ptr): as the kernel gives it */
}

/* --- memory --- */

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t n);

void *__wrap_malloc(size_t n)
{
	return fails(CALL_MALLOC) ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails(CALL_MALLOC) ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return fails(CALL_MALLOC) ? NULL : __real_realloc(p, n);
}

char *__wrap_strdup(const char *text)
{
	return fails(CALL_MALLOC) ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t n)
{
	return fails(CALL_MALLOC) ? NULL : __real_strndup(text, n);
}

static sqlite3_mem_methods sqlite_memory;

static void *sqlite_malloc(int n)
{
	return fails(CALL_SQLITE_MALLOC) ? NULL : sqlite_memory.xMalloc(n);
}

static void *sqlite_realloc(void *p, int n)
{
	return fails(CALL_SQLITE_MALLOC) ? NULL : sqlite_memory.xRealloc(p, n);
}

/* --- sockets, threads, clocks --- */

int __real_accept4(int fd, struct sockaddr *address, socklen_t *len, int flags);
int __real_epoll_ctl(int epoll, int what, int fd, struct epoll_event *event);
int __real_epoll_wait(int epoll, struct epoll_event *events, int count, int ms);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *arg);
int __real_clock_gettime(clockid_t clock, struct timespec *out);
int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *len, int flags);
int __wrap_epoll_ctl(int epoll, int what, int fd, struct epoll_event *event);
int __wrap_epoll_wait(int epoll, struct epoll_event *events, int count, int ms);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *arg);
int __wrap_clock_gettime(clockid_t clock, struct timespec *out);

int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
	return fails(CALL_ACCEPT) ? -1 : __real_accept4(fd, address, len, flags);
}

int __wrap_epoll_ctl(int epoll, int what, int fd, struct epoll_event *event)
{
	/* Taking one out needs nothing that could be missing. */
	return what != EPOLL_CTL_DEL && fails(CALL_EPOLL) ? -1 : __real_epoll_ctl(epoll, what, fd, event);
}

int __wrap_epoll_wait(int epoll, struct epoll_event *events, int count, int ms)
{
	return fails(CALL_EPOLL) ? -1 : __real_epoll_wait(epoll, events, count, ms);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *arg)
{
	return fails(CALL_THREAD) ? EAGAIN : __real_pthread_create(thread, attributes, run, arg);
}

long __real_sysconf(int name);
long __wrap_sysconf(int name);

long __wrap_sysconf(int name)
{
	int64_t processors = faults != NULL && name == _SC_NPROCESSORS_ONLN ? atomic_load(&faults->processors) : 0;
	return processors != 0 ? processors : __real_sysconf(name);
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *out)
{
	int rc = __real_clock_gettime(clock, out);
	if (rc == 0 && faults != NULL && clock == CLOCK_REALTIME)
		out->tv_sec += atomic_load(&faults->wall_ms) / 1000;
	return rc;
}

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("TIDEMARK_FAULTS");
	int fd = path != NULL ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC) : -1;
	if (fd < 0)
		return;
	long p = syscall(SYS_mmap, NULL, sizeof *faults, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0L);
	close(fd);
	if (p == -1)
		abort();
	unsetenv("TIDEMARK_FAULTS"); /* it is no option */
	sqlite3_config(SQLITE_CONFIG_GETMALLOC, &sqlite_memory);
	sqlite3_mem_methods failing = sqlite_memory;
	failing.xMalloc = sqlite_malloc;
	failing.xRealloc = sqlite_realloc;
	sqlite3_config(SQLITE_CONFIG_MALLOC, &failing);
	faults = (void *)p; /* NOLINT(performance-no-int-to-ptr) */
}
