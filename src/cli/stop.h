/* Stopping by SIGINT or SIGTERM: the first one asks the process to stop, the second one ends it at once. */
#ifndef CLI_STOP_H
#define CLI_STOP_H

#include <stdbool.h>

/* Installs the handler. Blocking calls then fail with EINTR. `wake` (may be NULL) is called in the signal handler. */
void stop_install(void (*wake)(void));
bool stop_wanted(void);

#endif
