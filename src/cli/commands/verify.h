/* The command `verify`. */
#ifndef CLI_COMMANDS_VERIFY_H
#define CLI_COMMANDS_VERIFY_H

/* Returns the exit status. */
int verify_main(int argc, char **argv);

#endif
