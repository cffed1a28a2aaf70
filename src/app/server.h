/* Puts the house together, runs it, and takes it apart. */
#ifndef APP_SERVER_H
#define APP_SERVER_H

/* The command `serve`. Returns the exit status. */
int server_main(int argc, char **argv);

#endif
