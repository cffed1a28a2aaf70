/* The command `tail`. */
#ifndef CLI_COMMANDS_TAIL_H
#define CLI_COMMANDS_TAIL_H

/* Returns the exit status. */
int tail_main(int argc, char **argv);

#endif
