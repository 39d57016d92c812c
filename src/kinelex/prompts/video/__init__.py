"""Pictures for engines that look: frames of videos, depth maps, drawings."""
