"""What a round has shown."""


class Verdict:
    """Counts of operations, and what the reader of a failure wants to know."""

    def __init__(self, acknowledged=0, lost=0, out_of_order=0, why=''):
        self.acknowledged, self.lost, self.out_of_order = acknowledged, lost, out_of_order
        self.reasons = [why] if why else []

    def add(self, other):
        self.acknowledged += other.acknowledged
        self.lost += other.lost
        self.out_of_order += other.out_of_order
        self.reasons += other.reasons

    def tell(self, why):
        self.reasons.append(why)

    def clean(self):
        return self.lost == 0 and self.out_of_order == 0
