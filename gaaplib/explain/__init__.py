"""Looking at a trained model: heat maps, their measures, nearest images, widgets."""
