"""Language engine ``kinematic``: sentences about posture and movement, computed from the joints."""
