"""Running model-written code where it can do no harm, and without trusting what it says."""
