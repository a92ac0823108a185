"""What model calls consume: booked before they are sent, settled with what they took."""
