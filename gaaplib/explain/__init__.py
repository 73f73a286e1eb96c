"""Inspecting a trained model: heat maps, measures of how well they localise, nearest images, and notebook widgets."""
