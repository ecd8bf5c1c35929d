"""What a scanner of many symbols needs: measures, fields, the filter language, watchlists, columns. Pure."""
