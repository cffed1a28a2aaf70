/* The command `query`. */
#ifndef CLI_COMMANDS_QUERY_H
#define CLI_COMMANDS_QUERY_H

/* Returns the exit status. */
int query_main(int argc, char **argv);

#endif
