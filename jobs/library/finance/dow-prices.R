#!/usr/bin/env Rscript
# Real prices as finance-var reads them: closes of the thirty stocks of the Dow Jones Industrial Average,
# 1990-12-31 to 2001-01-02, adjusted for splits, from the data set DowJones30 of the R package fBasics
# (Debian: r-cran-fbasics). To standard output.
data(DowJones30, package = "fBasics")
names(DowJones30)[1] <- "date"
write.csv(DowJones30, stdout(), row.names = FALSE, quote = FALSE)
