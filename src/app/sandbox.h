/* What the server never does, made impossible: programs, other processes, other kinds of sockets, the system's own affairs.
 */
#ifndef APP_SANDBOX_H
#define APP_SANDBOX_H

#include "base/err.h"

/* For all threads of the process and for good: a filter of system calls (seccomp) after which those are refused (EPERM), and
 * no privileges can be gained. */
enum err sandbox_enter(struct fault *fault);

#endif
