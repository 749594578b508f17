"""Who decides how large guests are: Barostat, its peers, and what no policy can be better than."""
