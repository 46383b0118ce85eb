/* Mistakes that every static check must see: one that sees none of them is not looking (tests/static/run). */
#include <stdlib.h>

int canary_beyond_its_end(int count);
char *canary_without_memory(void);

int canary_beyond_its_end(int count)
{
    int numbers[4] = {0};
    if (count == 7)
        return numbers[count];
    return 10 / (count - count);
}

char *canary_without_memory(void)
{
    char *text = malloc(10);
    free(text);
    *text = 0;
    if (text == NULL)
        goto out;
    return realloc(text, 20);
out:
    return text;
}
