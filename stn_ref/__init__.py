"""The executable reference for Spatial Transformer Networks (Jaderberg et al. 2015)."""
