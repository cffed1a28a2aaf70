/* What the load generator can do; each is a file. */
#ifndef LOAD_COMMAND_H
#define LOAD_COMMAND_H

#include "load/args.h"

void publish_command(const struct args *a);
void fanout_command(const struct args *a);
void catchup_command(const struct args *a);
void query_command(const struct args *a);
void idle_command(const struct args *a);
void bare_command(const struct args *a);
void open_command(const struct args *a);

#endif
