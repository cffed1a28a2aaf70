/* The framework itself: this program runs itself with an argument, and then some of its tests fail. */
#include <signal.h>
#include <sys/wait.h>

#include "unit/check.h"

void __lsan_do_leak_check(void) __attribute__((weak)); /* is there under AddressSanitizer */

enum { OUTPUT_MAX = 1 << 16 };

static int prepared;
static void *volatile lost;

static void one_passes(void)
{
	CHECK(prepared == 1);
	prepared = 2; /* in this process only */
}

static void one_fails(void)
{
	CHECK(prepared == 1);
	CHECK(prepared == 3);
	puts("went on behind a check that failed");
}

static void one_aborts(void)
{
	abort();
}

static void one_exits(void)
{
	exit(5);
}

static void one_leaks(void)
{
	lost = malloc(1000);
	lost = NULL;
}

static void describe(void)
{
	fputs("the seed was 4711\n", stderr);
}

/* With leaks the sanitizers' checks are included, which other builds do not have. */
static int run_failing_tests(void)
{
	prepared = 1;
	check_on_failure(describe);
	RUN(one_passes);
	RUN(one_fails);
	RUN(one_aborts);
	RUN(one_exits);
	if (__lsan_do_leak_check != NULL)
		RUN(one_leaks);
	RUN(one_passes);
	return check_end();
}

static int run_itself(const char *argument, char output[OUTPUT_MAX])
{
	char command[64];
	snprintf(command, sizeof command, "exec %s %s 2>&1", "/proc/$PPID/exe", argument);
	FILE *pipe = popen(command, "r");
	CHECK(pipe != NULL);
	size_t len = fread(output, 1, OUTPUT_MAX - 1, pipe);
	output[len] = '\0';
	int status = pclose(pipe);
	CHECK(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int count_of(const char *output, const char *text)
{
	int count = 0;
	for (const char *at = output; (at = strstr(at, text)) != NULL; at += strlen(text))
		count++;
	return count;
}

static void a_failing_check_ends_its_test_and_no_other(void)
{
	char output[OUTPUT_MAX];
	CHECK(run_itself("fail", output) == 1);
	CHECK(count_of(output, "ok one_passes\n") == 2 && count_of(output, "ok ") == 2);
	CHECK(strstr(output, ": in one_fails: prepared == 3 (test: one_fails)\nthe seed was 4711\n") != NULL);
	CHECK(strstr(output, "/test_check.c:") != NULL && strstr(output, "FAILED one_fails\n") != NULL &&
	      strstr(output, "went on") == NULL);
}

static void a_process_that_ends_otherwise_is_a_failure(void)
{
	char output[OUTPUT_MAX];
	CHECK(run_itself("fail", output) == 1);
	CHECK(strstr(output, "FAILED one_aborts: SIGABRT\n") != NULL);
	CHECK(strstr(output, "FAILED one_exits: exit status 5\n") != NULL);
	CHECK((strstr(output, "FAILED one_leaks: exit status ") != NULL) == (__lsan_do_leak_check != NULL));
}

static void the_last_line_counts_failures(void)
{
	char output[OUTPUT_MAX];
	const char *wanted = __lsan_do_leak_check != NULL ? "\n4 of 6 failed\n" : "\n3 of 5 failed\n";
	CHECK(run_itself("fail", output) == 1);
	CHECK(strlen(output) > strlen(wanted) && strcmp(output + strlen(output) - strlen(wanted), wanted) == 0);
	CHECK(run_itself("nothing", output) == 1 && strcmp(output, "0 of 0 failed\n") == 0);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return strcmp(argv[1], "fail") == 0 ? run_failing_tests() : check_end();
	RUN(a_failing_check_ends_its_test_and_no_other);
	RUN(a_process_that_ends_otherwise_is_a_failure);
	RUN(the_last_line_counts_failures);
	return check_end();
}
