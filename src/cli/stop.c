#include "cli/stop.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t wanted;
static void (*wake_up)(void);

static void on_signal(int number)
{
	(void)number;
	int kept = errno;
	wanted = 1;
	if (wake_up != NULL)
		wake_up();
	errno = kept;
}

void stop_install(void (*wake)(void))
{
	wake_up = wake;
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESETHAND}; /* without SA_RESTART */
	sigemptyset(&action.sa_mask);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

bool stop_wanted(void)
{
	return wanted != 0;
}
