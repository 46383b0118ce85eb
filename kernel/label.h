/* The trust label: what this kernel was built of and what was checked. The build makes label.c (label.py tells how). */
#ifndef KERNEL_LABEL_H
#define KERNEL_LABEL_H

extern const char kernel_label[];

#endif
