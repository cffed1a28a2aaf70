/* The wish to end: SIGINT or SIGTERM. The first asks; a second one ends the process at once. */
#ifndef CLI_STOP_H
#define CLI_STOP_H

#include <stdbool.h>

/* Calls that wait come back with EINTR from here on. `wake` (may be NULL) runs inside the signal handler. */
void stop_install(void (*wake)(void));
bool stop_wanted(void);

#endif
