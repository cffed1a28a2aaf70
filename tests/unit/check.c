#include "unit/check.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STATUS_CHECK_FAILED = 101 }; /* none that a sanitizer ends with */

static const char *running; /* the name of the test, in its own process */
static void (*describe_failure)(void);
static int run_count;
static int failed_count;

void check_on_failure(void (*describe)(void))
{
	describe_failure = describe;
}

void check_fail(const char *file, int line, const char *function, const char *format, ...)
{
	va_list arguments;
	fflush(stdout);
	flockfile(stderr); /* so that the lines of two threads are not mixed */
	fprintf(stderr, "%s:%d: in %s: ", file, line, function);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, " (test: %s)\n", running != NULL ? running : "none, in main");
	if (describe_failure != NULL)
		describe_failure();
	funlockfile(stderr);
	_exit(STATUS_CHECK_FAILED); /* other threads may be at work: nothing is torn down below them, no leaks are reported
				     */
}

static _Noreturn void run_here(const char *name, void (*test)(void))
{
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test does not outlive its program, which ctest may kill */
	running = name;
	test();
	exit(0); /* which writes the counts of gcov, and looks for leaks */
}

static void report_failure(const char *name, int status)
{
	failed_count++;
	if (WIFSIGNALED(status))
		fprintf(stderr, "FAILED %s: SIG%s\n", name, sigabbrev_np(WTERMSIG(status)));
	else if (WEXITSTATUS(status) == STATUS_CHECK_FAILED)
		fprintf(stderr, "FAILED %s\n", name);
	else
		fprintf(stderr, "FAILED %s: exit status %d\n", name, WEXITSTATUS(status));
}

void check_run(const char *name, void (*test)(void))
{
	int status;
	pid_t ended;
	fflush(NULL); /* what is buffered would be printed twice */
	pid_t child = fork();
	if (child < 0)
		check_fail(__FILE__, __LINE__, __func__, "fork: %s", strerror(errno));
	if (child == 0)
		run_here(name, test);
	do
		ended = waitpid(child, &status, 0);
	while (ended < 0 && errno == EINTR);
	if (ended != child)
		check_fail(__FILE__, __LINE__, __func__, "waitpid: %s", strerror(errno));
	run_count++;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		printf("ok %s\n", name);
	else
		report_failure(name, status);
}

int check_end(void)
{
	printf("%d of %d failed\n", failed_count, run_count);
	return failed_count > 0 || run_count == 0;
}

double test_scale(void)
{
	const char *text = getenv("TIDEMARK_TEST_SCALE");
	double scale = text != NULL ? strtod(text, NULL) : 1;
	return scale > 0 ? scale : 1;
}
