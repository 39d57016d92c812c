"""Training: loader, recipe, trainer and run directory."""
