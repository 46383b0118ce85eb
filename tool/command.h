/* The sub-commands of `quoll`, one file each. A command gets its own argument vector (argv[0] is "quoll NAME") and
 * returns the tool's exit status. */
#ifndef TOOL_COMMAND_H
#define TOOL_COMMAND_H

/* SCRIPT(name in C, name, program in the tree, summary): commands that are programs of their own */
#define SCRIPTS(SCRIPT)                                                                            \
    SCRIPT(demo, "demo", "demo/run", "show the main job: PostgreSQL on Quoll, its log on RapiLog") \
    SCRIPT(test, "test", "tests/run", "run all tests")                                             \
    SCRIPT(bench, "bench", "tests/bench/run", "measure what virtualization costs")                 \
    SCRIPT(assure, "assure", "tests/assure/run", "gather the evidence: fuzzers, proofs, attacks")  \
    SCRIPT(torture, "torture", "tests/faults/run", "let everything fail under load, count losses")

/* COMMAND(name in C, name, summary): these are in the host tool */
#define COMMANDS(COMMAND)                                                                          \
    COMMAND(check, "check", "check a system description")                                          \
    COMMAND(build, "build", "make a system image from a description")                              \
    COMMAND(run, "run", "build and boot a description in QEMU")                                    \
    COMMAND(who_can, "who-can", "list who can read, write or signal something")

#define COMMAND(name, text, summary) int command_##name(int argc, char **argv);
COMMANDS(COMMAND)
#undef COMMAND
#define SCRIPT(name, text, program, summary) int command_##name(int argc, char **argv);
SCRIPTS(SCRIPT)
#undef SCRIPT

/* Exit statuses. */
enum exit_status {
    EXIT_GOOD = 0,
    EXIT_BAD = 1,       /* mistakes were found, or a VM failed */
    EXIT_USAGE = 2,     /* the command line is wrong */
    EXIT_MAINS = 3,     /* the mains were lost; everything acknowledged is on the disk */
    EXIT_TIMEOUT = 124, /* as timeout(1) */
};

#endif
