"""Bugs that were, members on simulated disks among them."""

from tests.dead_disks import second_words_of_a_dead_disk as second_words_of_a_dead_disk
