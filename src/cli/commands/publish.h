/* The command `publish`. */
#ifndef CLI_COMMANDS_PUBLISH_H
#define CLI_COMMANDS_PUBLISH_H

/* Returns the exit status. */
int publish_main(int argc, char **argv);

#endif
