/* Arguments of the form name=value, and figures printed as `name value` lines. */
#ifndef LOAD_ARGS_H
#define LOAD_ARGS_H

#include <stdint.h>

#include "load/payload.h"
#include "load/protocol.h"

struct args {
	char **values;
};

const char *args_text(const struct args *a, const char *name, const char *otherwise);
uint64_t args_number(const struct args *a, const char *name, uint64_t otherwise);
/* Ends the program when there is no such protocol. */
const struct protocol *args_protocol(const struct args *a, const char *name);
/* bytes=, streams=, types= */
struct payload args_payload(const struct args *a);

void figure(const char *name, double value);

#endif
