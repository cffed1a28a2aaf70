/* The command `stats`. */
#ifndef CLI_COMMANDS_STATS_H
#define CLI_COMMANDS_STATS_H

/* Returns the exit status. */
int stats_main(int argc, char **argv);

#endif
