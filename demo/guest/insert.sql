\set kind random(1, 1000)
insert into event (kind, note) values (:kind, 'an order was placed, a sensor was read, a message was sent');
