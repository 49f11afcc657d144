"""Students: recipes, training by behavioural cloning, and ensembles."""
