/* A file for --config. What is accepted is within the bounds that --help tells. */
#include <assert.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "app/config.h"

/* Texts of a configuration live as long as a process; here that is many configurations. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len);
int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len)
{
	static struct config c;
	char path[64];
	char option[] = "--config";
	char *argv[] = {option, path, NULL};
	int fd = memfd_create("config", 0);
	assert(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	int status = config_parse(&c, 2, argv);
	assert(status == -1 || status == 2 || status == 0);
	if (status == -1) {
		assert(c.max_event >= 1 && c.max_request >= 1024 && c.queue_events >= 1 && c.max_connections >= 1);
		assert(c.listen.count <= OPTION_TEXTS_MAX && c.proxies.count <= PROXIES_MAX);
		assert(c.retention.stream_count <= ARCHIVER_STREAMS_MAX);
	}
	close(fd);
	return 0;
}
