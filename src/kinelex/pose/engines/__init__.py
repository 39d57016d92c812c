"""Pose engines that are built in: adapters of packages that are installed beside kinelex."""
