/* The command `query`. */
#ifndef CLI_QUERY_H
#define CLI_QUERY_H

/* Returns the exit status. */
int query_main(int argc, char **argv);

#endif
