module journal

go 1.26
