/*
 * Runs a target over files, without a fuzzer: for measuring what a corpus covers, and for debuggers.
 *
 *     NAME FILE|FOLDER...
 */
#include "input.h"
#include <dirent.h>
#include <sys/stat.h>

static void replay_file(const char *path)
{
    struct stat status;
    FILE *file = fopen(path, "rb");
    if (file == NULL || fstat(fileno(file), &status) != 0) {
        perror(path);
        exit(1);
    }
    size_t size = (size_t)status.st_size;
    uint8_t *bytes = malloc(size + 1);
    if (bytes == NULL || fread(bytes, 1, size, file) != size)
        exit(1);
    LLVMFuzzerTestOneInput(bytes, size);
    free(bytes);
    fclose(file);
}

static void replay_folder(DIR *folder, const char *path)
{
    char name[4096];
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        if (entry->d_name[0] != '.')
            replay_file(name);
    }
    closedir(folder);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        DIR *folder = opendir(argv[i]);
        if (folder != NULL)
            replay_folder(folder, argv[i]);
        else
            replay_file(argv[i]);
    }
    return 0;
}
