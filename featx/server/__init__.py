"""The catalogue served to browsers and programs: look-alikes, categories, decisions.

settings      how it listens, and the limits of a request
run           a server on a port
guard         the door in front of every request: host, origin, caller, size
tokens        login links, sessions, tokens and their scopes
app           every route behind the guard
description   OpenAPI 3.1, with examples
service       what routes share
generations   store, index and classifier, replaced together when their files change
photo_queue   photos in, features out, in batches of whatever waits
decoders      the threads that decode photos, and their time limit
pace          how fast refusals go out
requests      who may call a route, and how it is described
uploads       the body of a request → photos
search_routes   /v1/similar, /v1/classify
review_routes   /v1/review, /v1/duplicates, /v1/decisions
item_routes     /v1/items, /v1/photo, /v1/catalogue
explain_routes  /v1/explain
map_routes      /v1/map
report_routes   /v1/report, /report
update_routes   /v1/update
protocol_routes /v2/…, the Open Inference Protocol
health_routes   /healthz, /metrics
page_routes     the page, its files, the login
answers       the shapes of answers
problems      errors as problem details
updates       `featx update` from the page
jobs          work that takes longer than a request
findings      doubted labels and answers, copies, the map: found in processes of their own
processes     these processes
measures      what the server counts
page/         the page: plain modules, no build
client        the API from Python, in one file without featx
setup_files   a container and a systemd unit that run it
setup/        these files
"""
