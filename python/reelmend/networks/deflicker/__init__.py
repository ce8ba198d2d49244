"""The networks of BlazeBVD: global and local flicker removal, temporal consistency."""
